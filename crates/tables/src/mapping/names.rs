//! What columns are called in English, Portuguese, Spanish, French, German, Indonesian and Chinese.

/// A column's meaning and its names, separated by commas, folded as `fold` does it. Those in Chinese are looked for within a
/// name.
pub(super) const NAMES: &[(&str, &[&str])] = &[
    (
        "key",
        &[
            "id,key,uid,uuid,guid,contact id,customer id,client id,record id,source id,source key,external id",
            "external key,crm id,user id,person id,member id,lead id,codigo,codigo do cliente,codigo cliente",
            "id do cliente,id cliente,id del cliente,id contato,id contacto,identificador,clave,chave,matricula",
            "identifiant,id client,code client,numero client,kundennummer,kunden nr,kundennr,kunden id",
            "nomor pelanggan,id pelanggan,kode pelanggan,客戶編號,客户编号,會員編號,会员编号,編號,编号,客戶代號",
            "客户代码",
        ],
    ),
    (
        "phone",
        &[
            "phone,phone number,phone no,phones,tel,tel no,telephone,telephone number,mobile,mobile phone",
            "mobile number,mobile no,cell,cell phone,cellphone,cell number,whatsapp,whatsapp number,whats app",
            "whats,wa,wa number,wa id,msisdn,contact number,home phone,work phone,business phone,primary phone",
            "other phone,phone e164,handphone,telefone,telefone celular,telefone movel,celular,numero de telefone",
            "numero do celular,numero de celular,fone,telemovel,zap,ddd telefone,telefone fixo,telefono",
            "telefono movil,telefono celular,movil,numero de telefono,num telefono,numero,fijo,numero de whatsapp",
            "numero whatsapp,portable,telephone portable,tel portable,numero de portable,mobil,handy,handynummer",
            "telefon,telefonnummer,mobiltelefon,mobilnummer,rufnummer,tel nr,festnetz,nomor hp,no hp,hp,no telp",
            "telp,nomor telepon,telepon,no telepon,nomor whatsapp,no wa,nomor wa,ponsel,nomor ponsel,手機,手机",
            "電話,电话,行動電話,行动电话,聯絡電話,联系电话,號碼,号码,移动电话",
        ],
    ),
    (
        "first_name",
        &[
            "first name,firstname,given name,forename,first,primeiro nome,nome proprio,nombre de pila",
            "primer nombre,nombres,prenom,vorname,nama depan,名字",
        ],
    ),
    (
        "last_name",
        &[
            "last name,lastname,surname,family name,last,sobrenome,ultimo nome,apelido,apellido,apellidos",
            "nom de famille,nachname,familienname,nama belakang,姓氏",
        ],
    ),
    (
        "name",
        &[
            "name,full name,fullname,contact,contact name,customer name,customer,client,client name,display name",
            "person,nome,nome completo,cliente,nome do cliente,nome cliente,contato,nombre,nombre completo",
            "nombre y apellido,nombre y apellidos,nombre del cliente,contacto,nom,nom complet,nom et prenom",
            "nom prenom,nom du client,vollstandiger name,kunde,kundenname,kontakt,vor und nachname,nama",
            "nama lengkap,nama pelanggan,pelanggan,姓名,名稱,名称,客戶名,客户名,聯絡人,联系人",
        ],
    ),
    (
        "email",
        &[
            "email,e mail,mail,email address,e mail address,correo,correo electronico,endereco de email",
            "email do cliente,courriel,adresse email,adresse e mail,adresse mail,mel,e mail adresse,alamat email",
            "surel,電郵,电邮,電子郵件,电子邮件,邮箱,郵箱,信箱",
        ],
    ),
    (
        "company",
        &[
            "company,company name,organization,organisation,organisation name,organization name,account",
            "account name,business,business name,employer,empresa,nome da empresa,razao social,organizacao",
            "nombre de la empresa,compania,organizacion,razon social,entreprise,societe,nom de l entreprise",
            "raison sociale,firma,firmenname,unternehmen,perusahaan,nama perusahaan,公司,公司名稱,公司名称,企業名稱,企业名称,企業,企业,單位,单位",
        ],
    ),
    (
        "language",
        &["language,lang,locale,preferred language,idioma,lingua,lengua,langue,sprache,bahasa,語言,语言,語系"],
    ),
    (
        "country",
        &[
            "country,country code,country name,nation,pais,codigo do pais,codigo de pais,pays,code pays,land",
            "landercode,negara,kode negara,國家,国家,國別,国别",
        ],
    ),
    (
        "city",
        &[
            "city,town,cidade,municipio,localidade,ciudad,localidad,poblacion,ville,commune,stadt,ort,wohnort",
            "kota,城市,縣市,县市",
        ],
    ),
    (
        "birthday",
        &[
            "birthday,birth date,birthdate,date of birth,dob,born,data de nascimento,data nascimento,nascimento",
            "aniversario,dt nascimento,fecha de nacimiento,fecha nacimiento,nacimiento,cumpleanos",
            "date de naissance,naissance,anniversaire,geburtstag,geburtsdatum,tanggal lahir,tgl lahir,ulang tahun",
            "生日,出生",
        ],
    ),
    (
        "tags",
        &[
            "tags,tag,groups,group,segments,segment,lists,etiquetas,etiqueta,marcadores,grupos,grupo,segmento",
            "segmentos,etiquettes,etiquette,groupe,groupes,schlagworte,schlagworter,gruppe,gruppen,label,labels",
            "grup,tanda,標籤,标签,分組,分组",
        ],
    ),
    (
        "owner",
        &[
            "owner,contact owner,account owner,assigned to,agent,sales rep,account manager,responsavel,vendedor",
            "atendente,proprietario,propietario,responsable,asesor,proprietaire,commercial,besitzer,betreuer",
            "zustandig,verantwortlich,pemilik,penanggung jawab,負責人,负责人,業務員,业务员",
        ],
    ),
    (
        "note",
        &[
            "note,notes,comment,comments,remark,remarks,description,memo,nota,notas,observacao,observacoes,obs",
            "comentario,comentarios,observaciones,observacion,remarque,remarques,commentaire,commentaires,notiz",
            "notizen,bemerkung,bemerkungen,kommentar,catatan,keterangan,備註,备注,附註",
        ],
    ),
    (
        "label:refuses_marketing",
        &[
            "opt out,optout,opted out,opt out marketing,marketing opt out,unsubscribed,unsubscribe,no marketing",
            "do not market,refuses marketing,descadastrado,recusa marketing,nao quer marketing,baja,dado de baja",
            "no desea publicidad,rechaza marketing,desabonne,desinscrit,refuse le marketing,stop pub,abgemeldet",
            "keine werbung,werbesperre,berhenti berlangganan,tolak promosi,拒絕行銷,拒绝营销,退訂,退订,拒收",
        ],
    ),
    (
        "label:blocked",
        &[
            "blocked,do not contact,dnc,do not call,do not disturb,blacklist,blacklisted,bloqueado,nao contatar",
            "nao contactar,lista negra,no contactar,no llamar,bloque,ne pas contacter,liste noire,gesperrt",
            "kontaktsperre,nicht kontaktieren,diblokir,jangan dihubungi,黑名單,黑名单,勿擾,勿扰,請勿聯絡,请勿联系",
        ],
    ),
    ("label:employee", &["employee,staff,is employee,funcionario,empleado,employe,mitarbeiter,karyawan,員工,员工"]),
    ("label:test", &["test,is test,test contact,teste,contacto de prueba,測試,测试"]),
    (
        "consent",
        &[
            "consent,opt in,optin,opted in,marketing consent,marketing opt in,whatsapp opt in,whatsapp consent",
            "consent given,subscribed,newsletter,gdpr consent,lgpd,consentimento,aceita marketing,aceite,autoriza",
            "consentimiento,acepta marketing,acepta publicidad,consentement,accepte le marketing,einwilligung",
            "werbeeinwilligung,zustimmung,persetujuan,同意,訂閱,订阅",
        ],
    ),
    (
        "consent_date",
        &[
            "consent date,consent at,consent time,opt in date,opt in at,opt in time,opted in at,subscribed at",
            "subscription date,consent timestamp,opt in timestamp,data do consentimento,data de consentimento",
            "data consentimento,data do aceite,fecha de consentimiento,fecha del consentimiento",
            "fecha consentimiento,date de consentement,date du consentement,einwilligungsdatum",
            "datum der einwilligung,tanggal persetujuan,同意日期,同意時間,同意时间,訂閱日期,订阅日期",
        ],
    ),
    (
        "consent_source",
        &[
            "consent source,opt in source,consent origin,consent channel,opt in channel,opt in method",
            "origem do consentimento,fonte do consentimento,origen del consentimiento,fuente del consentimiento",
            "source du consentement,origine du consentement,quelle der einwilligung,einwilligungsquelle",
            "sumber persetujuan,同意來源,同意来源",
        ],
    ),
    (
        "consent_proof",
        &[
            "consent text,consent proof,opt in text,consent wording,texto do consentimento,prova do consentimento",
            "texto del consentimiento,prueba del consentimiento,texte du consentement,preuve du consentement",
            "einwilligungstext,teks persetujuan,同意內容,同意内容",
        ],
    ),
    ("ignore", &["ponte line,ponte column,ponte value,ponte code,ponte reason,ponte suggestion"]),
];
